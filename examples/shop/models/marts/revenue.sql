select
    date_trunc('week', o.placed_on) as week,
    p.method,
    sum({{ var('amount') }}) / 100 as revenue
from {{ ref('stg_payments') }} as p
join {{ ref('stg_orders') }} as o using (order_id)
where o.status <> 'returned'
group by all
