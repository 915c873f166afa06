-- 0006: several slots of a pool, taken together.
alter table stepkeel.tickets add column amount integer not null default 1;
