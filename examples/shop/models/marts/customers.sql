select
    c.customer_id,
    c.first_name,
    c.city,
    min(o.placed_on) as first_order_on,
    count(o.order_id) as orders,
    coalesce(sum(o.amount), 0) as spent
from {{ ref('stg_customers') }} as c
left join {{ ref('orders') }} as o using (customer_id)
group by all
