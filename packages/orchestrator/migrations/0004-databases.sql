create table databases (
  name text primary key,
  manifest jsonb not null,
  updated_at timestamptz not null default now()
);
-- Null: the application names none.
alter table deployments add column database jsonb;

-- A fence is of a key, of a role at a database, or of both.
update operations set fence = jsonb_build_object('key', fence, 'role', null) where fence is not null;
