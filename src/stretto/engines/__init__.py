"""Where attempts are carried out: in this process, elsewhere, or only pretended."""
