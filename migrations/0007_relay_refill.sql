-- What the relay needs to refill its sink: a temporary table of what the sink holds, to join with the events; and the
-- epoch of the last refill, since records of earlier ones may tell of a history that a restore has undone.
--
-- The table has one row per stream, more than the relay may hold in its memory. Nothing of it outlives the connection.

do $$
begin
    execute format('grant temporary on database %I to lunaria_relay', current_database());
end
$$;

alter table relay_state add column refill_epoch bigint not null default 0;
