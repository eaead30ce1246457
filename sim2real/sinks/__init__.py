"""Mirrors of a study elsewhere: absent, offline or failing, they change nothing."""
