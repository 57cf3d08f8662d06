"""Questions that only the host itself can answer fast or exactly enough: the text of these modules is sent to it.

Standard library and Python 3.9 only. Public functions of `look` and `disturb` are questions; arguments are texts, and
answers are printed as JSON.
"""
