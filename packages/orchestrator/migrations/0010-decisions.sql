-- By which rules the operation goes, as it was asked.
alter table operations add column strategy text
  check (strategy in ('give-up', 'force', 'halt', 'failover'));
alter table operations add column cold boolean not null default false;
alter table operations add column plan text;
-- Somebody wants it taken back: commit and this change the same row, and only one can win.
alter table operations add column abort_requested boolean not null default false;
-- Which halt it is at, where it was going, and which halt a decision was made about: each is decided once.
alter table operations add column halts integer not null default 0;
alter table operations add column halted_from text check (halted_from in ('open', 'rolling-back', 'past-pivot'));
alter table operations add column decided_halt integer not null default 0;
-- The engine's name for its present life, where that is not the operation's own.
alter table operations add column workflow text;

-- What people decided about operations, kept for ever.
create table decisions (
  id bigint generated always as identity primary key,
  operation text not null references operations (id),
  kind text not null check (kind in ('abort', 'resume', 'override')),
  reason text not null,
  decided_by text not null,
  decided_at timestamptz not null default now()
);
create index decisions_of_operation on decisions (operation, id);

create function refuse_decision_change() returns trigger language plpgsql as $$
begin
  raise exception 'decisions are kept as they were made';
end $$;
create trigger decisions_are_kept before update or delete on decisions
  for each row execute function refuse_decision_change();
create trigger decisions_stay before truncate on decisions
  for each statement execute function refuse_decision_change();
