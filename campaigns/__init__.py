"""Campaigns: what mho promises, tried by machines that look for the case in which it does not hold.

Each campaign is a module with ``LIMIT`` (seconds for one case), ``cases`` (their names) and ``tried`` (what
became of one). ``python -m campaigns`` runs them; see ``CONTRIBUTING.md``.
"""
