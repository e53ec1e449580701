-- A cheaper append, a plan that cannot turn into a sequential scan, and limits that keep every event below a broker's.
--
-- `append_event` is `append_events` for the usual case, one event: scalars instead of nine arrays (which plpgsql unpacks,
-- each into a memory context of its own), `values` instead of `unnest`, and the predecessor read by the insert itself. It
-- decides nothing: what does not go in at once goes to `append_events`, whose answer it gives.
--
-- `enable_seqscan = off`: an index probe costs 8.2 by Postgres's reckoning, a sequential scan of a table that was analyzed
-- at 60 rows 3.8. A session that had cached that plan kept it until the next analyze and read the whole table for
-- every predecessor: 20,000 appends to one stream took 33 s.
--
-- The limits: 768 KiB of `data` and `metadata` together leave a quarter of Kafka's default message.max.bytes (1,048,588) to the
-- other headers and the record's frame. They are counted in the text that the relay forwards. The size of the binary form says
-- nothing about that: ten bytes can hold a number of 131,072 digits. A stream's name has at most the 200 bytes that the relay
-- and the handlers accept (crates/event/src/name.rs), a type 255.

create or replace function append_events(
    streams text[], seqs bigint[], ids uuid[], types text[], versions smallint[], datas jsonb[],
    correlation_ids uuid[], causation_ids uuid[], metadatas jsonb[]
) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp set enable_seqscan = off as $$
declare
    expected integer := cardinality(ids);
    at       timestamptz := clock_timestamp();
    previous timestamptz;
    size     integer;
    inserted integer;
    present  integer;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'append_events needs READ COMMITTED, not %', current_setting('transaction_isolation')
            using errcode = 'LU002';
    end if;

    for n in 1 .. expected loop
        size := octet_length(datas[n]::text) + octet_length(metadatas[n]::text);
        if size > 786432 then
            raise exception 'the event %@% is too large: % bytes of data and metadata, at most 786432 are kept',
                left(streams[n], 200), seqs[n], size using errcode = 'LU004';
        elsif octet_length(streams[n]) > 200 or octet_length(types[n]) > 255 then
            raise exception 'the name of the stream (% bytes, at most 200) or of the type (% bytes, at most 255) is too long: %',
                octet_length(streams[n]), octet_length(types[n]), left(streams[n], 60) using errcode = 'LU004';
        end if;

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
        -- A probe by id for each event; written as a join it could be planned as a walk through the whole index.
        select count(*) into present
        from unnest(streams, seqs, ids, types, versions, datas, correlation_ids, causation_ids, metadatas)
            as new (stream, seq, id, type, version, data, correlation_id, causation_id, metadata)
        where (select (event.stream, event.seq, event.type, event.version, event.data, event.correlation_id,
                       event.causation_id, event.metadata)
                    = (new.stream, new.seq, new.type, new.version, new.data, new.correlation_id,
                       new.causation_id, new.metadata)
               from event where event.id = new.id);
        if present = expected then
            return false;
        end if;
    end if;

    raise exception 'append conflict: % of % events could be appended', inserted, expected
        using errcode = 'LU001', hint = 'load the streams again and decide anew';
end
$$;

-- Appends one event, in a transaction of its own or as the only append of a unit of work. Positional parameters: the names
-- are the columns', which the statements could not tell from them.
create function append_event(
    stream text, seq bigint, id uuid, type text, version smallint, data jsonb,
    correlation_id uuid, causation_id uuid, metadata jsonb
) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp set enable_seqscan = off as $$
#variable_conflict use_column
begin
    if octet_length($6::text) + octet_length($9::text) <= 786432 and octet_length($1) <= 200
        and octet_length($4) <= 255 and current_setting('transaction_isolation') = 'read committed'
    then
        if $2 = 1 then
            insert into event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp())
            on conflict do nothing;
        else
            insert into event (stream, seq, id, type, version, data, correlation_id, causation_id, metadata, recorded_at)
            select $1, $2, $3, $4, $5, $6, $7, $8, $9, greatest(clock_timestamp(), previous.recorded_at)
            from event as previous where previous.stream = $1 and previous.seq = $2 - 1
            on conflict do nothing;
        end if;
        if found then
            return true;
        end if;
    end if;

    return append_events(array[$1], array[$2], array[$3], array[$4], array[$5], array[$6], array[$7], array[$8], array[$9]);
end
$$;

revoke execute on function append_event from public;
grant execute on function append_event to lunaria_app;
