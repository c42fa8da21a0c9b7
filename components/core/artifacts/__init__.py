"""What flows between the steps: of each artifact the names of its files, its format, its writers and its readers.

A module for each: `photos`, `members`, `loss_weights`, `study`, `model`, `evaluation` (with its `report`),
`comparison`, `version`. The people data set (`people` has its names) and the identities are rooms of their own
(`core.people.dataset`, `core.people.identities`). Nobody else spells such a name; a test sees to it.
"""
