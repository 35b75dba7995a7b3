-- At how many percent of the budget it was last said that so much of it is used. Gateways of the version
-- before leave it alone.
alter table budget_window add column told bigint not null default 0;
