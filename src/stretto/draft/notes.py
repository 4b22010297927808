"""Sentences of drafted prompts that are the same whatever the goal is; `{}` is filled in."""

ALONE = "This is one of several orders that stand alone; others are carried out by other agents."

ONE_OF_MANY = "Your part is {} and nothing else; other agents work on the others side by side."

FOR_THE_WHOLE = "Return in at most 200 words what the end result needs to know of {}, with figures and names."

MERGE = (
    "Below are the results for single items, or merges of some of them. Bring all of them together, keep the "
    "names, counts and figures that the result needs, and say of what is missing that it is missing."
)

ONE_VIEW = (
    "Your part is {}, and that alone. Other agents look at the same matter from other sides; you do not see "
    "what they write, and the conclusion is drawn later, from all."
)

WEIGH = (
    "Weigh what is handed over below: where the views agree, where they do not, and what follows. Name what "
    "each conclusion rests on, and commit yourself."
)

NAME_PARTS = (
    "Do not do the work itself. Look, decide, and name {} {} that different agents can work on side by side "
    "without touching the same things, the most important first."
)

PARTS = (
    "For each return its name, why it is one of them, and its task in full: whoever carries it out sees "
    "nothing else. It is done when the tasks together reach the goal."
)

ONE_PART = "Carry out one part of the goal below, and only this one: ${{{0}.name}}.\n${{{0}.task}}"

WHOLE = "Write the result of the whole for whoever set the goal."

BRING_TOGETHER = (
    "Below is what was done for each part. Say first what was reached and what was not, then where two parts "
    "contradict each other, then what is left to do."
)

GO_ON = "Work from what the stage before made, which is handed over below."

PREPARE = "Prepare what the goal below needs."

CARRY_OUT = "Carry out the goal below with what was prepared."
