-- 0007: several slots of a pool, taken together.
alter table tickets add column amount integer not null default 1;
