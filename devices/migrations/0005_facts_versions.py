from django.db import migrations, models

from devices.versions import version_key


def fill(apps, schema_editor):
    """Give the facts that are there their keys."""
    rows = apps.get_model("devices", "DeviceFacts").objects
    changed = []
    for row in rows.exclude(version="").only("pk", "version").iterator():
        row.version_key = version_key(row.version)
        changed.append(row)
    rows.bulk_update(changed, ["version_key"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("devices", "0004_config_keeping")]

    operations = [
        migrations.AddField(
            model_name="devicefacts",
            name="version_key",
            field=models.CharField(blank=True, editable=False, help_text="orders as versions do", max_length=255),
        ),
        migrations.AddIndex(
            model_name="devicefacts",
            index=models.Index(fields=["version_key"], name="facts_version_key"),
        ),
        migrations.AddIndex(
            model_name="devicefacts",
            index=models.Index(fields=["serial"], name="facts_serial"),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
