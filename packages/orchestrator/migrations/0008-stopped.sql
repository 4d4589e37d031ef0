-- The application is stopped in its placement: held, with no route.
alter table applications add column stopped boolean not null default false;

-- A stop and a delete have no target, a start has no source.
alter table operations drop constraint operations_kind_check,
  add check (kind in ('deploy', 'migrate', 'stop', 'start', 'delete')),
  alter column target drop not null,
  alter column to_cluster drop not null,
  add check ((target is null) = (kind in ('stop', 'delete'))),
  add check ((target is null) = (to_cluster is null)),
  -- What was stopped when it began is deleted by another table.
  add column of_stopped boolean not null default false;
