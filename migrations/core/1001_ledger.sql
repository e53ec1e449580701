-- The ledger: every posting of every money event, and its totals. A projection: it can be thrown away and built anew.

create table ledger_posting (
    event_id       uuid        not null,
    n              smallint    not null,
    ledger_account text        collate "C" not null,
    currency       text        not null,
    amount         bigint      not null,
    recorded_at    timestamptz not null,
    constraint ledger_posting_identity primary key (event_id, n)
);
create index ledger_posting_account on ledger_posting (ledger_account, recorded_at);

create table ledger_balance (
    ledger_account text    collate "C" not null,
    currency       text    not null,
    amount         numeric not null,
    constraint ledger_balance_identity primary key (ledger_account, currency)
) with (fillfactor = 80);

grant select, insert, update, delete on ledger_posting, ledger_balance to lunaria_app;
