//! Customers: whom accounts belong to, and who may see them.

mod customer;
pub use customer::{Customer, CustomerCommand, CustomerEvent, CustomerRefusal, Registered, Renamed};

mod customer_view;
pub use customer_view::{CustomerRow, CustomerView, ListFilter, list};
