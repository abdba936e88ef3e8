"""The lines of the Plan 9 page "Mail Configuration", typed as they stand."""
