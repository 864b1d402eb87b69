-- depends_on: {{ ref('raw_payments') }}
select
    id as payment_id,
    order_id,
    method,
    cents
from {{ source('raw', 'raw_payments') }}
