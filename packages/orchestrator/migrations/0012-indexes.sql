-- The list of operations shows the newest, and the receipts of one are asked for and deleted by it: both read the whole table else.
create index newest_operations on operations (created_at desc);
create index newest_operations_of_application on operations (application, created_at desc);
create index receipts_of_operation on receipts (operation, created_at);
