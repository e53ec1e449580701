-- What a relay has to remember to prove, at each start, that nothing was missed while nobody watched.
--
-- Postgres alone cannot tell: it forwards a stale start silently, lets any replication role advance the slot, gives
-- a recreated slot its old name, and leaves no trace of a table that was out of its publication for a while. So the
-- relay keeps its own account beside the events, and writes it *before* it confirms: the slot standing further than
-- `confirmed_lsn` means that somebody else has moved it.

create table relay_state (
    slot              text        not null constraint relay_state_slot primary key,
    -- The server that the LSNs below belong to. An unsigned 64-bit number, too large for a bigint.
    system_identifier text        not null,
    timeline          integer     not null,
    -- The slot's consistent point, or where it stood when it was adopted.
    slot_lsn          pg_lsn      not null,
    -- The publication as it was then: the identity of its rows, which a change and its reversal do not restore.
    publication       jsonb       not null,
    -- The ceiling: everything before it is with the sink, and the slot is never confirmed beyond it.
    confirmed_lsn     pg_lsn      not null,
    -- One more with each session; a session whose epoch is not this one any more has been superseded.
    epoch             bigint      not null,
    -- What the sink is known to hold: {topic: {partitions, ends}}.
    topics            jsonb       not null default '{}',
    -- A pg_snapshot: every transaction that is visible in it is with the sink.
    horizon           text,
    -- A refill that is needed or under way: {cause, reason, …}. The slot is not read while it is set.
    refill            jsonb,
    paused            boolean     not null default false,
    updated_at        timestamptz not null default now()
) with (fillfactor = 50);

grant select, insert, update on relay_state to lunaria_relay;
grant select on relay_state to lunaria_app;
