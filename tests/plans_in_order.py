"""Plans of tasks that use what others of them make."""

from __future__ import annotations


def plans(text: str) -> list[list[str]]:
    """Plans apart by empty lines, with a task in each line."""
    return [plan.splitlines() for plan in text.strip().split("\n\n")]


USES = plans("""
2<1
Collect the sales figures for Q3 from the CRM
Write the report

2<1 3<2
Gather the monthly sales figures of all branches
Clean the figures and remove duplicates
Write the quarterly sales report for the board

2<1 3<2 4<2
Design the API for bulk export
Implement the bulk export API
Write integration tests for the bulk export API
Document the bulk export API

2<1 3<2
Extract customer records from the legacy CRM
Transform the extracted records to the new schema
Load the transformed records into the warehouse

2<1 3<2
Review the supplier contract and list risky clauses
Redline the risky clauses
Send the redlined contract to the counterparty

2<1 3<2
Summarise the last 200 support tickets by theme
Write FAQ entries for the top themes
Translate the FAQ entries into German and French

4<1 4<2 4<3
Security review
Performance review
Quality review
Create action plan from reviews

4<1 4<2 4<3
Analyse the proposal from the point of view of finance
Analyse the proposal from the point of view of engineering
Analyse the proposal from the point of view of legal
Combine the three analyses into one recommendation

3<1 3<2
Research competitor pricing
Research customer willingness to pay
Synthesize the findings into a pricing recommendation

2<1 3<2
Export all orders of 2024 to exports/orders.csv
Compute revenue per country from exports/orders.csv and save it as out/revenue.csv
Plot out/revenue.csv as a bar chart

2<1
Write the test fixtures to tests/fixtures/users.json
Add tests for the user importer using tests/fixtures/users.json

2<1 3<2
Prepare the training dataset from raw click logs
Train the ranking model on the prepared dataset
Evaluate the trained model against the baseline

2<1 3<2 4<3
Design the customer satisfaction questionnaire
Send the questionnaire to 500 customers
Analyse the responses
Present the results to management

2<1
Write chapter summaries for the novel
Create a one-page synopsis based on the chapter summaries

2<1 3<2
Draft three taglines for the new coffee brand
Pick the strongest tagline
Design the packaging around the chosen tagline

2<1 3<2
Extract all UI strings into a translation file
Translate the extracted strings into Spanish
Import the translated strings back into the app

2<1 3<2
Draft the press release about the merger
Get the press release reviewed by legal
Distribute the approved press release to journalists

2<1 3<2
Identify duplicated code in the billing module
Refactor the duplicated code that was identified
Run the tests on the refactored module

2<1 3<1
Provision the Kubernetes cluster with Terraform
Install the monitoring stack on the new cluster
Migrate the services to the new cluster

2<1
Generate a new TLS certificate for api.example.org
Install the new certificate on the load balancers

2<1
Find the ten most viewed help articles
Rewrite those articles in plain language

2<1 3<2 4<3
Gather this week's AI headlines
Select the five most relevant headlines
Write a newsletter with short blurbs for each selected headline
Send the newsletter to subscribers

2<1 3<2
Collect budget requests from the departments
Consolidate the requests into one budget
Present the consolidated budget to the CFO

2<1 3<2
Profile the checkout endpoint and list the hot spots
Optimise the hot spots
Benchmark the optimised endpoint

2<1 3<2
Define the learning objectives for the SQL course
Write the lessons according to the learning objectives
Create a quiz for the lessons

2<1 3<2
Create database migrations
Run migrations
Seed test data

2<1
Reproduce the bug in the date picker and write a failing test
Fix the bug so that the failing test passes

2<1 3<2
Write the JSON schema for the event payload
Generate TypeScript types from the JSON schema
Implement the event publisher with the generated types

2<1 3<2
Write the script for the product video
Record the voice-over from the script
Edit the recording

2<1 3<2
Map where personal data is stored
Assess the risks of each data store that was mapped
Write the DPIA from the risk assessment

2<1 3<2
Transcribe the interview with Dr Lee
Pull the five best quotes out of the transcript
Write show notes around the quotes

2<1 3<2
Count the stock in warehouse B
Compare the stock count with the ERP
Write off the differences

2<1 3<2
Propose three hypotheses why sign-ups dropped
Test each hypothesis against the event data
Recommend what to do, given the results

2<1 3<2
Scan the network for open ports
Triage the scan results
File tickets for the critical findings

2<1 3<2 4<3
Read the RFP and extract all requirements
Draft answers to the extracted requirements
Assemble the answers into the tender document
Submit the tender document through the portal

2<1
Create a style guide for our docs
Apply the style guide to all pages under docs/

2<1 3<2
Interview five new hires about their onboarding
Summarise the interviews
Propose improvements to the onboarding based on the summary

2<1
Define the KPIs for the logistics team
Build a dashboard that shows the KPIs

2<1
Implement user authentication
Write tests for user authentication
Update the changelog

2<1 3<2
Evaluate Postgres and MySQL for the order service
Choose the database based on the evaluation
Write the ADR recording the choice

2<1 3<2
Draft the letter to the tenants about the heating repair
Check the letter for legal accuracy
Mail the letter to all tenants

2<1 3<2 4<3 5<3
Pull the raw survey data
Clean the survey data
Run the regression on the cleaned data
Make charts of the regression results
Write up the findings

2<1 3<2
Generate OpenAPI spec from the controllers into api/openapi.yaml
Generate a Python client from api/openapi.yaml
Publish the client to PyPI

2<1 3<2
Take a backup of the production database
Restore the backup on the standby
Check the restored database for missing rows

2<1 3<2
Create personas from the interview notes
Write user stories for the personas
Sketch wireframes for the user stories
""")
"""The first line says who uses something of whom: 2<1 is the second of the first."""

HANDED = plans("""
Find all mentions of the Harrow project in the minutes of 2019 to 2023
Put the mentions that were found into a chronology for counsel

Sketch the information architecture for the new intranet
Set up the page tree in SharePoint as the sketch has it

Write the unit converter in src/units.ts
Cover the new unit converter with property-based tests

Reconstruct the sequence of alarms from the PLC logs of 4 May
Explain what tripped the line, on the basis of the reconstructed sequence

Make a list of the paintings that may not travel
Replace the paintings on that list in the exhibition plan

Price the bill of materials for the e-cargo bike
Compare the priced bill of materials with the target cost of 1,900 euro

Ask the twelve pilot schools how often they used the app
Turn what the schools answered into a bar chart for the ministry

Cut the two-hour lecture into clips of three minutes
Write a caption for each of the clips

Check which hotels in Ghent have 80 rooms free in May
Ask the hotels that have rooms free for a group rate

Rewrite the landing page headline in five variants
Set up the A/B test with the five variants

Write a decision memo on closing the Hull depot
Send the memo to the works council with a covering letter

Scan the parish registers of 1881 for the surname Ashdown
Draw the family tree from what the scan turns up

Build the docker image of the importer
Push the importer image to the registry

Look through the competitors' app store reviews for complaints
Draw up a list of features that answers those complaints

Write the storyboard of the safety film
Shoot a rough cut following the storyboard

Generate an OpenAPI description from the Flask routes
Check the generated OpenAPI description with spectral

Migrate the wiki pages of team Orion to Markdown
Fix broken links in the migrated pages

Devise a scoring scheme for grant applications
Score the 64 applications by the scheme

Write a one-page brief on the Baltic ferry market
Translate the brief into Swedish

Transcribe the board call of 12 March
List the decisions in the transcript with the name of the owner

Prepare the mailing list of donors over 500 euro
Mail the winter appeal to the people on the mailing list

Design an experiment that separates price from placement effects
Simulate the designed experiment with 1,000 virtual shoppers

Write seed data for the demo tenant
Load the seed data into the demo tenant and take screenshots

Estimate the replacement cost of each roof
Work out a ten-year roof plan from the estimates

Implement the retry queue for webhooks
Review the implementation of the retry queue for race conditions

Put together the press kit for the festival
Upload the press kit to the media portal

Evaluate the pilot of the chatbot
Decide about the roll-out of the chatbot after the evaluation

Assemble the evidence for the appeal
Write the grounds of appeal on the assembled evidence

Formulate the research question and hypotheses
Choose methods that can test the hypotheses

Get three quotes for the generator
Place the order with the cheapest of the three quotes

Ask legal which of the 30 templates are out of date
Update the templates that legal names

Crawl the council website for planning applications in SE15
Map the applications found in SE15

Pull a week of traces for the checkout route
Find the slowest span in those traces

Tag all photos from the shoot with the product number
Upload the tagged photos to the asset library

Record a walkthrough of the admin panel
Cut the walkthrough into six short clips for the help centre

Draft interview questions for the site manager position
Run the interviews using the drafted questions

Derive the acceptance limits for moisture from the 2023 lab data
Check this year's batches against the derived limits

Prepare a shortlist of auditors
Invite the auditors on the shortlist to tender
""")
"""Two tasks, the second of which uses what the first makes."""

PIPELINES = plans("""
Rigging plan for span 1: cranes, slings, crew
Rigging plan for span 2, beginning where the cranes of span 1 end up
Rigging plan for span 3, beginning where the cranes of span 2 end up

Design the schema
Implement the endpoints
Build the UI
Write end-to-end tests

Collect the sales figures for Q3
Clean the figures
Write the sales report

Deploy to the EU region
Deploy to the US region
Deploy to the Asia region

Restart node 1
Restart node 2
Restart node 3

Draft chapter 1 of the thriller
Draft chapter 2 of the thriller
Draft chapter 3 of the thriller

Research the topic
Write an outline
Write the article
Edit the article

Add the intro to docs/guide.md
Add the install section to docs/guide.md
Add the FAQ to docs/guide.md

Plan the fix
Implement it
Review it
Merge it

Find the root cause of the outage
Fix it
Write the postmortem

Screen the CVs for the analyst role
Interview the best five
Decide whom to hire
Draft the offer

Extract orders from the ERP
Transform them to the new schema
Load them into the warehouse

Migrate the staging database
Migrate the canary database
Migrate the production database

Write the spec for the export feature
Implement the export feature
Test the export feature
Announce the export feature

Read the contract
List the risky clauses
Propose amendments
Send the redlined version to counsel

Provision the VM
Install Postgres on the VM
Restore the backup
Point the app to the new host

Generate the migration
Apply the migration
Backfill the new column
Drop the old column

Take the first half of the list
Take the second half of the list
Merge the halves

Upgrade the package on web1
Upgrade the package on web2
Upgrade the package on web3

Define personas
Write user stories
Sketch wireframes
Test the wireframes with users

Book the venue
Send the invitations
Confirm the head count with the caterer

Gather requirements from the stakeholders
Design the solution architecture
Develop the prototype
Run user acceptance tests

Pick a topic for the webinar
Recruit two speakers
Send out the invitations
Collect feedback afterwards

Read the thesis
Give feedback on structure
Rewrite the introduction
Format the references

Find candidates on LinkedIn
Write personal messages
Schedule first calls
Rank by fit

Translate the brochure into Spanish
Have a native speaker proofread the Spanish text
Typeset the brochure
Send the PDF to the printer

Scan the repository for secrets
Revoke leaked keys
Rotate credentials in all environments
Notify the owners

Label 500 support mails
Fine-tune the classifier
Measure precision and recall on the test split
Write the model card

Take the DB snapshot
Run the schema change on the primary
Run the schema change on the replicas
Lift the maintenance page

Ask each department for its budget
Add up the numbers
Cut ten percent
Submit the budget to the board

Draft an NDA
Negotiate the liability cap with the other side
Get signatures
Archive the signed copy

Crawl the shop pages
Extract prices with a parser
Load rows into BigQuery
Refresh the dashboard

Collect logs from the failing pods
Work out why the pods crash
Patch the Helm chart
Watch the rollout for an hour

Write the grant application
Check it against the call text
Collect letters of support
Upload everything to the portal

Create the S3 bucket
Copy the archives over
Verify checksums
Delete the originals

Move the London users to the new mail server
Move the Paris users to the new mail server
Move the Rome users to the new mail server

Write scene one
Write scene two picking up the quarrel
Write scene three with the reveal

Edit config/nginx.conf for gzip
Edit config/nginx.conf for HTTP/2
Edit config/nginx.conf for caching headers

Interview customers
Cluster what they said into needs
Prioritise needs with the team
Turn the top needs into epics

Digitise the survey forms
Compute averages per question
Make slides for the council
Rehearse the talk

Set up the CI pipeline
Add a lint stage to the pipeline
Add a deploy stage to the pipeline

Count inventory in aisle A
Reconcile counts against the ERP
Post adjustments in the ERP

Upgrade the library to 3.0
Fix the compile errors
Run the full test suite
Tag the release

Choose the venue
Negotiate the price
Sign the contract
Pay the deposit

Research keywords for garden sheds
Write product texts around the keywords
Publish the texts
Track rankings for four weeks

Profile the slow endpoint
Add an index
Measure again

Outline the lesson on fractions
Write exercises
Solve the exercises to produce the key
Print both

Drain traffic from eu-west
Upgrade the ingress in eu-west
Shift traffic back to eu-west

Identify the ten largest customers
Write a thank-you note to each
Post the notes

Write the first draft
Revise for clarity
Copy-edit
Publish

Review the accident file
Assess liability
Calculate damages
Draft the settlement letter
""")
"""Chains that have to be chains, or may well have to."""
