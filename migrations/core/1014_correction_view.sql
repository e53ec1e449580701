-- What operators mend, as those ask for it who have to approve. A projection of the `correction` streams.

create table correction_view (
    id           uuid        not null constraint correction_view_id primary key,
    kind         text        not null,
    subject      text        collate "C" not null,
    status       text        not null,
    reason_code  text        not null,
    is_previewed boolean     not null,
    amount       bigint,
    currency     text,
    requested_by text        not null,
    -- An earlier correction that was wrong.
    corrects     uuid,
    -- Why it has this status.
    reason       text,
    -- Of which bulk correction it is a part, and the how manieth.
    bulk_id      uuid,
    number       integer,
    requested_at timestamptz not null,
    changed_at   timestamptz not null
);
create index correction_view_requested on correction_view (requested_at desc, id desc) where bulk_id is null;
create index correction_view_status on correction_view (status, requested_at desc, id desc) where bulk_id is null;
create index correction_view_bulk on correction_view (bulk_id, number) where bulk_id is not null;
create index correction_view_corrects on correction_view (corrects) where corrects is not null;
create index correction_view_subject on correction_view (subject, requested_at desc, id desc);

insert into projection (name, tables) values ('correction.view', '{correction_view}');

grant select, insert, update, delete on correction_view to lunaria_app;
