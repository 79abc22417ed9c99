"""What both ends share: plan, shares, records, messages, the cloud clients and the scenarios."""
