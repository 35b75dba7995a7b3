-- At how many percent of the budget it was last said that so much of it is used, and how much the budget
-- was then. Gateways of the version before leave both alone.
alter table budget_window add column told bigint not null default 0;
alter table budget_window add column told_of bigint not null default 0;
