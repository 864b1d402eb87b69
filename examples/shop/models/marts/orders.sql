select
    o.order_id,
    o.customer_id,
    o.placed_on,
    o.status,
    o.amount,
    coalesce(sum(p.cents), 0) / 100 as paid
from {{ ref('stg_orders') }} as o
left join {{ ref('stg_payments') }} as p using (order_id)
group by all
