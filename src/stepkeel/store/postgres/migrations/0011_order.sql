-- 0011: the order of commits, for whoever follows a tenant: the id of the transaction that wrote an entry.
alter table stepkeel.history add column commit_no bigint;
alter table stepkeel.history alter column commit_no set default pg_current_xact_id()::text::bigint;
alter table stepkeel.archive_history add column commit_no bigint;
create index history_commit on stepkeel.history (commit_no) where commit_no is not null;
create index archive_history_commit on stepkeel.archive_history (commit_no) where commit_no is not null;
