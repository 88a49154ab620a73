"""The view sets: parse, authorise, call a service, report. One file for each area."""
