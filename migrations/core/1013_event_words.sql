-- The words by which events are found: a projection with a row for each event that has any, which names the event and says nothing that the
-- event does not.

create table event_words (
    stream      text        collate "C" not null,
    seq         bigint      not null,
    id          uuid        not null,
    category    text        not null,
    type        text        not null,
    recorded_at timestamptz not null,
    -- Of the fields that are searched, in small letters.
    words       text[]      not null,
    constraint event_words_stream_seq primary key (stream, seq)
);
create index event_words_recorded on event_words (recorded_at desc, id desc);
create index event_words_words on event_words using gin (array_to_tsvector(words));

grant select, insert, update, delete on event_words to lunaria_app;
insert into projection (name, tables) values ('event.words', '{event_words}');
