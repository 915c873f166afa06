-- 0011: what is due, by tenant too.
create index instances_turn on instances (definition, version, priority, tenant, wake_at) where wake_at >= 0;
