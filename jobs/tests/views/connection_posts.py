"""What the forms of a connection send, and what they say."""

from django.contrib.messages import get_messages


def added(**changed):
    """What the form of a new connection sends."""
    return {
        "name": "production",
        "data_center": "us",
        "environment": "production",
        "edition": "standard",
        "paid_users": "",
        "alert_recipients": "ops@example.com",
    } | changed


def edited(**changed):
    """What the form of a stored connection sends."""
    return (
        added()
        | {
            "api_version": "v7",
            "skip_threshold_percent": "10",
            "stuck_after_minutes": "30",
            "max_concurrency": "10",
            "daily_credits": "",
            "longest_interval_seconds": "300",
        }
        | changed
    )


def messages_of(response):
    return [str(message) for message in get_messages(response.wsgi_request)]
