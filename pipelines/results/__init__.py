"""What came of it: runs, comparisons, versions, studies, new pictures."""
