from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runbell', '0030_artifacts'),
    ]

    operations = [
        migrations.AddField(
            model_name='environment',
            name='model_notifications',
            field=models.JSONField(null=True),
        ),
    ]
