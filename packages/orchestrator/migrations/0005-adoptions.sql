-- Leases of other owners that were taken on, and how far one that is under way has come: whoever asks again goes on there.
create table adoptions (
  id text primary key,
  storage text not null,
  application text not null references applications (name),
  asked_by text not null,
  reason text not null,
  -- Access key ids that were seen to be let in before they were disabled: a refusal proves nothing of others.
  opened jsonb not null default '[]',
  -- The fences, whose lease it was, and the one write that takes it: written down before it is sent.
  planned jsonb,
  epoch integer,
  created_at timestamptz not null default now(),
  adopted_at timestamptz
);
create unique index one_open_adoption on adoptions (storage, application) where adopted_at is null;
