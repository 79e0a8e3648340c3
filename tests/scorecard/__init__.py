"""The judge of the health module: labelled runs, what it says about them, and how often it is right."""
