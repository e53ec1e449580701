-- States of long streams, so that a command on one does not fold it from its first event. They are written beside the appends, never in them,
-- and say nothing that the events do not: all of them may be deleted at any time.

create table snapshot (
    stream   text        collate "C" not null constraint snapshot_stream primary key,
    -- Of the state's shape and the rules that made it: a program with others ignores it.
    version  smallint    not null,
    -- The last event that went into it.
    seq      bigint      not null constraint snapshot_seq_positive check (seq > 0),
    state    jsonb       not null,
    taken_at timestamptz not null default now()
) with (fillfactor = 80);

grant select, insert, update, delete on snapshot to lunaria_app;
