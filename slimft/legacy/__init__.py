"""What serves scripts of 2016 to 2020.

Slim's restoring functions, checks of what goes wrong unnoticed, and research/slim's ``nets_factory``,
``preprocessing`` and flags.
"""
