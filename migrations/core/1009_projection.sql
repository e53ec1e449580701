-- Core's projections, and the tables that are theirs alone.

insert into projection (name, tables) values
    ('ledger', '{ledger_posting, ledger_balance}'),
    ('transfer.view', '{transfer_view}'),
    ('incoming.view', '{incoming_view}'),
    ('case.view', '{case_view}'),
    ('authorisation.view', '{authorisation_view}'),
    ('order.view', '{order_view}');
