select
    id as order_id,
    customer_id,
    placed_on,
    status,
    cents / 100 as amount
from {{ ref('raw_orders') }}
