select
    a.order_id,
    b.order_id as other_order_id,
    abs(a.amount - b.amount) as apart
from {{ ref('orders') }} as a
join {{ ref('orders') }} as b on a.order_id < b.order_id
{% if var('slow') %}
cross join range(1000000) as again
cross join range(1000000) as and_again
where sin(again.range * and_again.range) > 2
{% endif %}
