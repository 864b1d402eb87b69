"""What stands beside a report: a plain view, as the tutorials of Django and Ninja have it, served by granian, with the database that
Runbell's own environment names.

It knows who sends by a token, validates the same body, and stores the run, its steps and nodes and a delivery for each recipient, in one
transaction. It decides, words and masks nothing, and looks for no run that is known already.
"""
