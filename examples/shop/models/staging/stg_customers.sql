select
    id as customer_id,
    first_name,
    city
from {{ ref('raw_customers') }}
