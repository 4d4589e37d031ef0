-- Grows with every life of the operation's workflow: whoever writes or commands in an older one is not heard any more.
alter table operations add column term integer not null default 0;

-- Signs commands: agents trust it, so every replica must have it.
alter table installation add column command_key jsonb;

-- Tells every replica of a change, also of one that another replica made.
create function tell_change() returns trigger language plpgsql as $$
begin
  perform pg_notify('baton_operations', new.id);
  return null;
end $$;
create trigger operations_tell_changes after insert or update on operations
  for each row execute function tell_change();
