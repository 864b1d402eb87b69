{{ config(severity='warn') }}
select order_id, placed_on, amount, paid
from {{ ref('orders') }}
where paid < amount and placed_on <= date '{{ var("paid_by") }}'
