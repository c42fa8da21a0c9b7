"""What is asked, who answers, and what is measured."""
