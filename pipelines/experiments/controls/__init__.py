"""Is a control ever judged wrongly?"""
