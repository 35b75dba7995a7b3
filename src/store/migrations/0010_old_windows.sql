-- For whoever looks for windows that are over.
create index budget_window_by_end on budget_window (end_at);
create index gateway_by_time on gateway (seen_at);
