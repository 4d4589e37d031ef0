-- Within a commit NOTIFY lets no other such commit through: it tells only what ends or turns an operation. What it is doing is told afterwards.
drop trigger operations_tell_changes on operations;
create trigger operations_tell_begin after insert on operations
  for each row execute function tell_change();
create trigger operations_tell_turns after update of state, abort_requested, decided_halt on operations
  for each row execute function tell_change();
