"""From the bus to the warehouse: entries to rows, at a price, summed up by the hour; or set aside."""
