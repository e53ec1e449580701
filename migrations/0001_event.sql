-- The event table: the one source of truth of a service, and its outbox.
--
-- Everything else (Kafka, handlers' effects, projections, external streams) follows from its rows. They are
-- written through `append_events` alone and never changed: the application's role may not, and triggers refuse
-- it for everyone who has not disabled them. The relay reads the rows out of the WAL, in commit order.

create table event (
    -- Insertion order. It has gaps and is not commit order: nothing polls by it.
    position       bigint      not null generated always as identity,
    stream         text        collate "C" not null,
    seq            bigint      not null constraint event_seq_positive check (seq > 0),
    id             uuid        not null,
    type           text        not null,
    version        smallint    not null constraint event_version_positive check (version > 0),
    data           jsonb       not null,
    correlation_id uuid        not null,
    causation_id   uuid        not null,
    metadata       jsonb       not null,
    recorded_at    timestamptz not null,
    constraint event_stream_seq primary key (stream, seq),
    constraint event_id unique (id)
);

create function refuse_event_change() returns trigger language plpgsql as $$
begin
    raise exception 'events are never updated or deleted: append a compensating event instead'
        using errcode = 'LU003';
end
$$;

create trigger event_append_only
    before update or delete or truncate on event
    for each statement execute function refuse_event_change();

-- Appends the events of one unit of work; call it once per transaction.
--
-- The rows come sorted by (stream, seq), so that no two appends deadlock, and each states the seq that it takes:
-- a seq that is taken (too low) and one whose predecessor is missing (too high) are both a conflict.
-- Returns true when the events were appended, false when all of them, identical, stood there already: a retry
-- of an append whose answer was lost. Anything else raises LU001, so that a partial insert leaves nothing.
--
-- READ COMMITTED is required: after a lost race the look-up must see what the winner has committed.
-- There is no EXCEPTION block, since that would cost a subtransaction per append, and no join with the table: a plan that
-- was cached while the table was small would stay a sequential scan for as long as the session lives.
create function append_events(
    streams text[], seqs bigint[], ids uuid[], types text[], versions smallint[], datas jsonb[],
    correlation_ids uuid[], causation_ids uuid[], metadatas jsonb[]
) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    expected integer := cardinality(ids);
    at       timestamptz := clock_timestamp();
    previous timestamptz;
    inserted integer;
    present  integer;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'append_events needs READ COMMITTED, not %', current_setting('transaction_isolation')
            using errcode = 'LU002';
    end if;

    for n in 1 .. expected loop
        if n > 1 and streams[n] collate "C" = streams[n - 1] then
            if seqs[n] <> seqs[n - 1] + 1 then
                raise exception 'the seqs of % have a hole or are not sorted', streams[n] using errcode = 'LU002';
            end if;
        elsif n > 1 and streams[n] collate "C" < streams[n - 1] then
            raise exception 'the streams are not sorted' using errcode = 'LU002';
        elsif seqs[n] > 1 then
            select recorded_at into previous from event where stream = streams[n] and seq = seqs[n] - 1;
            if not found then
                raise exception 'append conflict: %@% does not exist', streams[n], seqs[n] - 1
                    using errcode = 'LU001', hint = 'load the streams again and decide anew';
            end if;
            at := greatest(at, previous);
        end if;
    end loop;

    insert into event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at)
    select stream, seq, id, type, version, data, correlation_id, causation_id, metadata, at
    from unnest(streams, seqs, ids, types, versions, datas, correlation_ids, causation_ids, metadatas)
        as new (stream, seq, id, type, version, data, correlation_id, causation_id, metadata)
    on conflict do nothing;
    get diagnostics inserted = row_count;

    if inserted = expected then
        return true;
    end if;

    if inserted = 0 then
        select count(*) into present
        from unnest(streams, seqs, ids, types, versions, datas, correlation_ids, causation_ids, metadatas)
            as new (stream, seq, id, type, version, data, correlation_id, causation_id, metadata)
        join event using (id)
        where (event.stream, event.seq, event.type, event.version, event.data, event.correlation_id,
               event.causation_id, event.metadata)
            = (new.stream, new.seq, new.type, new.version, new.data, new.correlation_id,
               new.causation_id, new.metadata);
        if present = expected then
            return false;
        end if;
    end if;

    raise exception 'append conflict: % of % events could be appended', inserted, expected
        using errcode = 'LU001', hint = 'load the streams again and decide anew';
end
$$;

revoke all on event from public;
revoke execute on function append_events from public;
grant select on event to lunaria_app, lunaria_relay;
grant execute on function append_events to lunaria_app;

-- The publication stands before the relay's slot and before the first append. It carries all operations, so that
-- the relay sees, and halts at, anything but an insert.
create publication lunaria for table event with (publish = 'insert, update, delete, truncate');
