"""What a person reads of a decision: the page, reports/NAME/report.html, and the model card, reports/NAME/card.md."""
