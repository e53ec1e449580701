-- A transfer that has ended may need a person all the same: the rail has contradicted itself, or a customer owes what was paid late.

alter table transfer_view add column needs_attention boolean not null default false;
create index transfer_view_attention on transfer_view (requested_at desc, id desc) where needs_attention;
